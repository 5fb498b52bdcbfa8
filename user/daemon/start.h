// A START record in the words of container/.
#pragma once

#include "container/registry.h"
#include "record.h"

namespace twinlog {

StartFacts start_facts(const tw_start& start);

}  // namespace twinlog
