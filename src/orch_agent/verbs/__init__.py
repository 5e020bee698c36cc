"""One verb, one file. A verb takes a decoded request and returns the answer's object, or refuses."""
