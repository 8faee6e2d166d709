"""What runs in pods before the agent's package is there: each module is handed to the interpreter as it stands.

Standard library, Python 3.9, and nothing imported from beside it.
"""
