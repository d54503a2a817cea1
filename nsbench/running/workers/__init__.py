"""A job, and the process that does it.

job        a piece of work, and how it ended
worker     the process that does jobs, seen from within
process    the same process, seen from the run
launch     how it begins
lifeline   why it does not outlive the run
messages   what a run and its workers say to each other
memory     how much memory a process and its descendants hold
guard      what holds a job to its limits
"""
