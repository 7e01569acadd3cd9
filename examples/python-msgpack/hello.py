"""The smallest plugin: one file to read."""

from pfsplugin import File, Plugin, run


class Hello(Plugin):
    name = "hellofs-py"
    doc = "One file that says hello."

    def start(self, config):
        self.text = (config.pop("greeting", "Hello from Python plugin!") + "\n").encode()
        if config:
            raise ValueError("unknown setting " + ", ".join(config))

    def stat(self, path):
        if path != "/hello":
            raise FileNotFoundError
        return File("hello", len(self.text))

    def list(self, path):
        return [self.stat("/hello")]

    def read(self, path, offset, size):
        return self.text[offset:offset + size]


run(Hello())
