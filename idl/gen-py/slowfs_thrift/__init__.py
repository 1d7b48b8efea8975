__all__ = ['ttypes', 'constants', 'SlowFS']
