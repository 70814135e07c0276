"""Any detector over data sets: maps, counts, figures."""
