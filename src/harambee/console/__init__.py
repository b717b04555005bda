"""The console: web pages, served by every super-agent, that show how the network stands and let it be broken.

Plain HTML, CSS and ES modules, loaded from the super-agent that is looked at and from nowhere else. They
know only the public HTTP gateway and its server-sent events, of this super-agent and of the others, and the
buttons of `harambee up` where its address brought their token. See docs/console.md.
"""
