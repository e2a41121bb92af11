"""One run, step by step: rows, graph, stories, plan, page; and when a run is made."""
