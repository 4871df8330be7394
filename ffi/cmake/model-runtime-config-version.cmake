# Which versions find_package(model-runtime VERSION) accepts: in 0.x those of the same 0.x that are not older, from 1.0 on those of the
# same major version. The installed header says which one this is.

set(PACKAGE_VERSION "")
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../../../include/model_runtime.h" _model_runtime_lines
    REGEX "^#define MR_VERSION_(MAJOR|MINOR|PATCH) [0-9]+$")
foreach(_model_runtime_part IN ITEMS MAJOR MINOR PATCH)
    string(REGEX REPLACE ".*#define MR_VERSION_${_model_runtime_part} ([0-9]+).*" "\\1" _model_runtime_${_model_runtime_part}
        "${_model_runtime_lines}")
endforeach()
set(PACKAGE_VERSION "${_model_runtime_MAJOR}.${_model_runtime_MINOR}.${_model_runtime_PATCH}")

set(PACKAGE_VERSION_COMPATIBLE FALSE)
set(PACKAGE_VERSION_EXACT FALSE)
if(NOT PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
elseif(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    set(PACKAGE_VERSION_EXACT TRUE)
elseif(PACKAGE_FIND_VERSION VERSION_LESS PACKAGE_VERSION
        AND PACKAGE_FIND_VERSION_MAJOR EQUAL _model_runtime_MAJOR
        AND (NOT _model_runtime_MAJOR EQUAL 0 OR PACKAGE_FIND_VERSION_MINOR EQUAL _model_runtime_MINOR))
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()

foreach(_model_runtime_name IN ITEMS lines part MAJOR MINOR PATCH)
    unset(_model_runtime_${_model_runtime_name})
endforeach()
