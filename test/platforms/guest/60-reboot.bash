#!/bin/bash
# shellcheck disable=SC2016,SC2317
# After a reboot, as systemd starts everything.
# shellcheck source=test/platforms/guest/lib.bash
source /root/guest/lib.bash

check 'reboot: everything runs' is "$(systemctl --failed --no-legend --plain)" ''
check 'reboot: the logins of before are kept' is_listed 192.0.2.70
logins reboot 71
relays reboot 75
doctor_is_content reboot
finish
