# ruff: noqa: F821 (include and package are makemanifest.py's)
# Frozen into the emulated boards: asyncio, and the client with its apps as on any board.
include("$(MPY_DIR)/extmod/asyncio")
package("linnet", base_path="$(LINNET_DIR)/firmware")
package("apps", base_path="$(LINNET_DIR)/firmware")
package("drivers", base_path="$(LINNET_DIR)/firmware")
