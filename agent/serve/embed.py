#!/usr/bin/env python3
"""A JSON document as a C array, without blanks: usage: embed.py NAME FILE OUT"""
import json
import sys

name, path, out = sys.argv[1:]
with open(path, encoding="utf-8") as f:
    text = json.dumps(json.load(f), separators=(",", ":")).encode() + b"\n"
lines = [text[i:i + 96] for i in range(0, len(text), 96)]
with open(out, "w", encoding="ascii") as f:
    f.write("/* Made by embed.py. */\nstatic const char %s[%d] = {\n" % (name, len(text)))
    f.writelines("    %s,\n" % ", ".join(str(byte) for byte in line) for line in lines)
    f.write("};\n")
