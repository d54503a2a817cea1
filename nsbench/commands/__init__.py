"""The command line: one file for each command and its options.

main                the table of commands, and the one place where a refusal becomes a message
options, screen     the commands' common parts: options and the session behind them; output to a terminal
results             the results of a suite: a compact matrix for each dataset, or long tables
progress            the display of a run's progress and of the time left
run, fresh, plan, prepare, export, list, info, trial, plugins, export_cases, score, new, check, track, compare,
report, ui, cache, schema
                    one command each; trial is `info trial`, fresh is `run --fresh`
templates/          the files that `nsbench new` writes
"""
