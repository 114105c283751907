"""What keeps a registry running at a site: what it says of itself, and how it starts and ends.

watch.py        measures every request once, and tells observers of it
access_log.py   observer: a line of JSON for each request
metrics.py      observer: counters and gauges for Prometheus
families.py     what kind of thing a path asks for
health.py       /healthz and /readyz
lingering.py    takes what is left of a body that was refused
draining.py     ends without cutting off what is under way
stopping.py     hears the signal to end, come what may
limits.py       as many connections as there are descriptors for
activation.py   a socket and messages between the registry and the service manager
"""
