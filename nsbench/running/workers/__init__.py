"""A job, and the process that does it.

job          a piece of work, and how it ended
worker       the process that does jobs, seen from within
process      the same process, seen from the run
launch       the program that such a process begins with
lifeline     the pipe that ends it with the run, and the watcher that does so
descendants  the processes that a process has started: found and killed
output       the log of what a job prints, and its most
messages     the messages between a run and its workers
memory       the memory that a process's descendants hold
guard        a job's limits, and the thread that keeps them
"""
