"""States of a notebook that are kept as processes: each can be forked, and what runs in the fork leaves it as it was."""

MOST_STATES = 16


class Tree:
    """A sandbox with all states that come of one; `kept` maps their process numbers in there to the states."""

    def __init__(self, root):
        self.root = root
        self.kept = {2: root}
        self.files = None
        self.dirty = False

    def clear(self):
        """Ends all that is no state, and finds out whether a state is gone or the files have changed."""
        if self.dirty:
            return
        found = None if self.root.is_lost() else self.root.process.clear(sorted(self.kept))
        if found is None or found["alive"] != sorted(self.kept) or found["files"] is None:
            self.dirty = True
        elif self.files is None:
            self.files = found["files"]
        elif self.files != found["files"]:
            self.dirty = True


class Fork:
    """The process of a fork, seen from the driver."""

    descriptor = None

    def __init__(self, tree, parent, pid):
        self.tree = tree
        self.parent = parent
        self.pid = pid
        self.state = None

    @property
    def over_memory(self):
        return self.tree.root.process.over_memory

    def interrupt(self):
        if not self.tree.root.is_lost():
            self.tree.root.process.order("interrupt %d" % self.pid)

    def ended(self):
        if self.state is None and self.tree.root.is_lost():
            self.state = signal.SIGKILL
        if self.state is None and not self.parent.alive:
            self.state = signal.SIGKILL
        if self.state is None:
            message = self.parent.ask({"reap": self.pid}, patience=CLEAR_SECONDS).get("message")
            if message is not None and message.isdigit():
                self.state = int(message)
        return self.state is not None

    def kill(self):
        self.ended()
        self.tree.kept.pop(self.pid, None)
        self.tree.clear()
        if self.state is None:
            self.ended()  # its parent is told how, and forgets it
            self.state = signal.SIGKILL


class States:
    """The states of a driver by number."""

    def __init__(self, driver):
        self.driver = driver
        self.states = {}
        self.trees = set()
        self.next = 1

    def _add(self, tree, child):
        number = self.next
        self.next += 1
        self.states[number] = (tree, child)
        return number

    def open(self):
        if not self.driver.sandbox.isolated:
            raise HostTrouble("states can be forked in the full sandbox only; run the cells again instead")
        limits = dict(self.driver.limits)
        root = self.driver._child(limits, forkable=True)
        root.ask({"reap": 0})
        tree = Tree(root)
        tree.clear()
        self.trees.add(tree)
        return self._add(tree, root)

    def run(self, number, cells, keep):
        """Runs cells in a fork of a state; None if the state is not what it was, and the cells before are to be run again."""
        tree, parent = self.states.get(number, (None, None))
        if tree is None or tree.dirty or parent.is_lost() or len(tree.kept) >= MOST_STATES:
            return None
        child = self._fork(tree, parent)
        if child is None:
            return None
        limits = self.driver.limits
        shown = []
        try:
            for cell in cells:
                if child.alive:
                    shown.append(show_cell(child.ask({"cell": cell, "forkable": True}), limits))
                else:
                    shown.append({"status": "not_run", "output": NOT_RUN, "truncated": False, "wall": 0.0})
        except HostTrouble:  # the code sees to it that forks of its process fail
            tree.dirty = True
            return None
        kept = None
        if keep and child.alive:
            tree.kept[child.process.pid] = child
            tree.clear()
            kept = self._add(tree, child)
        else:
            child.close()
        return {"cells": shown, "kept": kept, "dirty": tree.dirty}

    def _fork(self, tree, parent):
        forked = []

        def fork(_, descriptors):
            command_r, event_w, out_w, _, lifeline_r, _ = descriptors
            door = socket.socket(fileno=os.dup(parent.lifeline_w))
            with door:
                given = struct.pack("4i", command_r, event_w, out_w, lifeline_r)
                door.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)])
            told = parent.ask({"fork": True}, patience=CLEAR_SECONDS)
            message = told.get("message", "0")
            forked.append(int(message) if message.isdigit() else 0)
            return Fork(tree, parent, forked[0])

        child = Child(fork, None, dict(self.driver.limits), None, os.open(os.devnull, os.O_RDONLY), False, None, True)
        if forked[0] > 2:
            return child
        tree.dirty = tree.dirty or parent.is_lost()
        child.close()
        return None

    def close(self, number):
        """Forgets a state; with the last one of a sandbox the sandbox ends."""
        tree, child = self.states.pop(number, (None, None))
        if tree is None:
            return
        if any(other is tree for other, _ in self.states.values()):
            if child is not tree.root:
                child.close()
            return
        for state in list(tree.kept.values()):
            if state is not tree.root:
                tree.dirty = True  # nothing to be kept any more
                state.close()
        tree.root.close()
        self.trees.discard(tree)
