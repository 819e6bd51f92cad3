# Has UDP ports and never reads. Usage: sink.py PORT...
import signal, socket, sys

taken = []
for port in sys.argv[1:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", int(port)))
    taken.append(s)
print("ready", flush=True)
signal.pause()
