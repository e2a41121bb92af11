"""The top-k graph of the window by plain cosine: exact, kept between runs, and updated at a cost that grows with new rows.

It can be used alone: it takes ids and vectors and returns arrays. Milvus enters as a function that searches.
"""

from clustering.neighbours.by_cells import CellSearcher
from clustering.neighbours.by_search import Hits, MilvusSearcher, SearchVectors
from clustering.neighbours.cache import load_graph, remove_graph, save_graph
from clustering.neighbours.exact import ExactSearcher
from clustering.neighbours.graph import GraphReport, NeighbourGraph, choose_searcher, update_graph
from clustering.neighbours.neighbour_lists import Searcher

__all__ = [
    "CellSearcher",
    "ExactSearcher",
    "GraphReport",
    "Hits",
    "MilvusSearcher",
    "NeighbourGraph",
    "SearchVectors",
    "Searcher",
    "choose_searcher",
    "load_graph",
    "remove_graph",
    "save_graph",
    "update_graph",
]
