"""What stands on all rooms: the command line, the supervisor, the demo, the evaluation."""
