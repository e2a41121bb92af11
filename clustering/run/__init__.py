"""One run, step by step: rows, graph, stories, plan, page; and the schedule of runs."""
