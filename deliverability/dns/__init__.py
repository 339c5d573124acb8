"""What DNS says about a sending domain. Pure: no Django, no models, no settings, no clock on the wall.

`resolver` asks and never raises; the others judge its answers and give findings.
"""
