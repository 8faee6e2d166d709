"""What runs in pods before the agent's package is there: the source of each module is an argument of the interpreter.

Standard library, Python 3.9, and nothing imported from beside it.
"""
