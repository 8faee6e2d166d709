"""The agent that starts and supervises one node's ranks: `python -m trainstack.agent --plan FILE --node N`.

It needs the standard library alone, so that this folder can be copied beside any training environment's
Python. The supervisor writes the plan with `trainstack.agent.plan` and reads the outcome with
`trainstack.agent.reporting.report`; nothing else in here is for use from outside.
"""
