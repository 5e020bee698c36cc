"""How a job is run once we are on the host: ``tmux`` is this machine itself, with a view in tmux."""
