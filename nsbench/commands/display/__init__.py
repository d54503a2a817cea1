"""What commands show on a terminal, or in a pipe.

screen    lines and tables, with hidden characters made visible
results   the results of a suite: a compact matrix for each dataset, or long tables
progress  a run's progress, and the time left
"""
