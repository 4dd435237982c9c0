"""
Watch the virtual PMU of x86 guests

The program vpmu-top shows what the guests of one or more virtual machines
use their performance counters for, and exports it to Prometheus.

 - `connect`: ways to a virtual machine's monitor
 - `poll`: asks the virtual machines and keeps asking
 - `model`: what was asked, and rates; no input or output
 - `record`: a recording of that in a file
 - `table`: the model as text
 - `screen`: what is on the screen, and what keys do; no terminal
 - `terminal`: that on a terminal, with curses
 - `export`: the model as metrics of Prometheus
 - `main`: the command line
"""

# SPDX-License-Identifier: GPL-2.0-or-later
