"""The mirror of a run in MLflow. Only commands import it: nothing else needs the folder.

tracker       the listener that has a run mirrored by a thread, and never waits for MLflow
mirror        the mirror of results, one action after another
ledger        the ledger of what has been logged where
record        the record of a trial, gathered from the store: all that the tracker logs
names         names as MLflow takes them
content       the content of an MLflow run: names of metrics, tags and files
runs          runs in MLflow: opened, completed, found, superseded
destination   the destination of runs: the workspace's database or a server, and the suite's experiment there
view          the view that MLflow's interface opens: a leaderboard, and charts
server        MLflow's own server on a workspace
door          the door to that server, which asks for a token
relay         the relay of requests to it, and of its answers
browser       the user's browser, opened there
"""
