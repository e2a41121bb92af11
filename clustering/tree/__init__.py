"""The tree: from neighbour lists to a dendrogram and clusters, exact on a graph that falls apart into components.

Usable alone, without Milvus or Kafka: arrays in, arrays out.
"""

from clustering.tree.hdbscan_labels import Clustering, cluster_neighbours
from clustering.tree.hierarchy import Hierarchy, build_hierarchy

__all__ = ["Clustering", "Hierarchy", "build_hierarchy", "cluster_neighbours"]
