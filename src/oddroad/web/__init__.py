"""The page and the interface for programs: frames, maps and thresholds looked at in a browser. Only the command line
imports this package; its web framework comes with the extra ``web`` and is imported inside functions.
"""
