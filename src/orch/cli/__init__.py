"""The command line: parses, calls ops, prints. One command, one file; ``main`` holds the table."""
