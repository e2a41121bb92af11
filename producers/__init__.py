"""Where headlines come from: files, standard input and feeds, sent to the topic `headlines`."""
