#!/usr/local/bin/python3 -IS
"""A program of Amazon's on a machine: hands its words to the cloud, and says what that says."""

import json
import os
import sys
import urllib.request

words = []
for word in sys.argv[1:]:
    if word.startswith("file://") and words and words[-1].startswith("--"):
        words[-1] += "=" + open(word[7:]).read()  # which may look like an option
    else:
        words.append(word)
program = os.path.basename(sys.argv[0])
said = sys.stdin.read() if program == "sudo" and not sys.stdin.isatty() else ""
asked = json.dumps({"words": words, "input": said}).encode()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open("URL/" + program, asked, timeout=30) as answer:
    said = json.load(answer)
sys.stdout.write(said["out"])
sys.stderr.write(said["err"])
sys.exit(said["status"])
