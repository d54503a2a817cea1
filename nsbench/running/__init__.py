"""A run: its jobs, their order, and the processes that do them.

run              the run itself: jobs go out, ends come back, rows are written, listeners are told
schedule         the jobs that are left to do, their order, and what became of each
expected         the stages that a run has before it, for estimates of the time left
side_by_side     how many trials run side by side, and on how many threads each
stop             a stop request, by Ctrl-C or SIGTERM
waiting_costs    the jobs whose costs are still to be measured, each alone
executor         the protocol that every executor keeps
inline           the run's own process does the work
local            worker processes on this machine do it
ray              a Ray cluster does it
ray_connection   the cluster: one of the run's own, or one that it joins
ray_task         what a node of the cluster does
workers/         a job, and the process that does it
"""
