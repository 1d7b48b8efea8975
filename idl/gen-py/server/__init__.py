__all__ = ['ttypes', 'constants', 'server']
