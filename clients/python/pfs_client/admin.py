"""The node, the mounts and the plugins."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .base import Base
from .exceptions import AGFSClientError, AGFSConnectionError
from .sending import Request


class Admin(Base):
    """The calls on what a cluster consists of."""

    def health(self) -> Dict[str, Any]:
        """Return how the node is."""
        return self._json(Request("GET", "/health"))

    def cluster(self) -> Dict[str, Any]:
        """Return who leads, and how each node is."""
        return self._json(Request("GET", "/cluster"))

    def get_capabilities(self) -> Dict[str, Any]:
        """Return ``{"version", "features"}``, of a server that does not say without any."""
        try:
            return self._json(Request("GET", "/capabilities"))
        except AGFSConnectionError:
            raise
        except AGFSClientError:
            if self.is_closed:
                raise
            return {"version": "unknown", "features": []}

    def mounts(self) -> List[Dict[str, Any]]:
        """Return the mounts, by path."""
        return list(self._json(Request("GET", "/mounts")).get("mounts") or [])

    def mount(self, fstype: str, path: str, config: Optional[Dict[str, Any]] = None, *, node: Optional[str] = None,
              key: Optional[str] = None) -> Dict[str, Any]:
        """Mount a plugin; ``node`` names where, for what lives on one."""
        ask: Dict[str, Any] = {"fstype": fstype, "path": path, "config": config or {}}
        if node is not None:
            ask["node"] = node
        return self._change("POST", "/mount", None, body=ask, key=key)

    def unmount(self, path: str, *, key: Optional[str] = None) -> Dict[str, Any]:
        """Take a mount away; its content stays for the next mount of its type there."""
        return self._change("POST", "/unmount", None, body={"path": path}, key=key)

    def load_plugin(self, library_path: str) -> Dict[str, Any]:
        """Load a third-party plugin from a file of the server, a URL or ``agfs://PATH``."""
        return self._change("POST", "/plugins/load", None, body={"library_path": library_path})

    def unload_plugin(self, library_path: str) -> Dict[str, Any]:
        """Unload a third-party plugin."""
        return self._change("POST", "/plugins/unload", None, body={"library_path": library_path})

    def list_plugins(self) -> List[str]:
        """Return where the loaded third-party plugins came from."""
        said = self._json(Request("GET", "/plugins"))
        if "loaded_plugins" in said:
            return list(said["loaded_plugins"] or [])
        return [p["library_path"] for p in said.get("plugins") or [] if p.get("is_external") and p.get("library_path")]

    def get_plugins_info(self) -> List[Dict[str, Any]]:
        """Return all plugins: names, settings, where they are mounted."""
        return list(self._json(Request("GET", "/plugins")).get("plugins") or [])
