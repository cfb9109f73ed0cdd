"""The rules that keep the code readable, as tests."""
