"""How fast a detector is, by stage and end to end, and on what machine."""
