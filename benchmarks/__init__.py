"""Side-by-side timings of gradloom and its peers.  ``make bench`` runs them and writes RESULTS.md."""
