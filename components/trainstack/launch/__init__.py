"""The agent that starts and guards one node's ranks: `python -m trainstack.launch --plan FILE --node N`.

It needs the standard library alone, so that this folder can be copied beside any training environment's
Python. The supervisor writes the plan with `trainstack.launch.plan` and reads what came of it with
`trainstack.launch.report`; nothing else in here is for use from outside.
"""
