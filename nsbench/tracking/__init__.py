"""The mirror of a run in MLflow. Nothing below imports it: the folder could be removed.

tracker       the listener that mirrors a run, and the ledger of what has been logged
record        all that is worth showing of a trial, gathered from the store
content       what an MLflow run holds, by name
runs          runs in MLflow: opened, completed, found, superseded
destination   where runs go: the workspace's database or a server, and the suite's experiment there
view          how MLflow's interface opens: a leaderboard, and charts
server        MLflow's own server on a workspace
"""
