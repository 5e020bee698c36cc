"""Use cases: what every face calls. Nothing here prints, reads a keyboard or ends the program."""
