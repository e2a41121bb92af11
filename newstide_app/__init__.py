"""What people start: the command line, the services, the web server, maintenance, the demo, the evaluation."""
