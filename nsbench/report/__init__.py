"""`nsbench report`: a suite's results as a table for papers and programs, and as one page with pictures."""
