# SPDX-License-Identifier: Apache-2.0
# Writes SCRIPT with the house style STYLE before it, as a module, so that python3 -c runs it.
# The first entry of the path is then the working directory: a user's random.py or json.py there
# must not stand in for Python's.
file(READ ${STYLE} style)
file(READ ${SCRIPT} script)
file(WRITE ${OUTPUT} "import sys
sys.path[:] = [entry for entry in sys.path if entry]
sys.modules['house_style'] = type(sys)('house_style')
exec(compile(r'''${style}''', 'house_style.py', 'exec'), sys.modules['house_style'].__dict__)
${script}")
