"""From rows to stories: the neighbour graph, the tree, the clusters, their lineage and names, and the map.

The numeric modules take and return arrays and know neither Kafka nor Milvus; these are the ones for a notebook:
"""

import newstide  # noqa: F401 - before numpy: says how its threads wait
from clustering.time_damping import TimeDamping
from clustering.tree import Clustering, Hierarchy, build_hierarchy, cluster_neighbours

__all__ = ["Clustering", "Hierarchy", "TimeDamping", "build_hierarchy", "cluster_neighbours"]
