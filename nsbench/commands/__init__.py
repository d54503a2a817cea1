"""The command line: one file for each command and its options.

main                the table of commands, and the one place where a refusal becomes a message
options             the options that several commands take, and the session behind them
display/            what they show: lines, tables, results, progress
run, fresh, plan, prepare, export, list, info, trial, plugins, export_cases, score, new, check, track, compare,
report, ui, cache, doctor, schema
                    one command each; trial is `info trial`, fresh is `run --fresh`
templates/          the files that `nsbench new` writes
"""
