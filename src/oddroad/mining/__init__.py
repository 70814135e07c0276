"""The odd moments of an archive of drives: logs cut into segments, judged by many workers, none lost and none twice."""
