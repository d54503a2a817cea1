"""What commands show on a terminal, or in a pipe.

screen    lines and tables, with hidden characters made visible
results   the results of a suite: a compact matrix for each dataset, or long tables
progress  the display of a run's progress for a console
live      moving bars, for terminals
lines     lines of text, for logs and pipes
words     what both say of stages and trials
estimate  the time that a run still needs
"""
