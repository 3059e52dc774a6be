"""Python reads this at its start when the directory is in PYTHONPATH. When the file that
MLX_SABOTAGE names appears, the thread of mlx_lm.server that generates ends, as it does after a
fault of its own (mlx_lm/server.py, ResponseGenerator)."""

import ctypes
import os
import threading
import time


def generates(thread):
    target = getattr(thread, "_target", None)
    return getattr(target, "__name__", "") in ("_generate", "_run_generate")


def watch(file):
    while not os.path.exists(file):
        time.sleep(0.05)
    for thread in filter(generates, threading.enumerate()):
        identity = ctypes.c_ulong(thread.ident)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(SystemExit))


sabotage = os.environ.get("MLX_SABOTAGE")
if sabotage:
    threading.Thread(target=watch, args=(sabotage,), daemon=True).start()
