"""From a tree to stories: similarity, selection, lineage and names. Arrays in, arrays out."""
