"""From rows to stories: the neighbour graph, the tree, the clusters, their lineage and names, and the map."""
