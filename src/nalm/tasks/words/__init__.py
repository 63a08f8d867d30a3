"""The task of translating English number words to numbers."""
