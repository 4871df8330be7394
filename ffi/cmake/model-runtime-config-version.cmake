# Which versions find_package(model-runtime VERSION) accepts: in 0.x those of the same 0.x that are not older, from 1.0 on those of the
# same major version. The installed header says which one this is.

set(PACKAGE_VERSION_COMPATIBLE FALSE)
set(PACKAGE_VERSION_EXACT FALSE)
set(PACKAGE_VERSION "")

set(_model_runtime_header "${CMAKE_CURRENT_LIST_DIR}/../../../include/model_runtime.h")
if(EXISTS "${_model_runtime_header}")
    file(STRINGS "${_model_runtime_header}" _model_runtime_version REGEX "^#define MR_VERSION_(MAJOR|MINOR|PATCH) [0-9]+$")
    string(REGEX REPLACE "[^0-9;]" "" _model_runtime_version "${_model_runtime_version}")
    string(REPLACE ";" "." PACKAGE_VERSION "${_model_runtime_version}")
    list(GET _model_runtime_version 0 _model_runtime_major)
    list(GET _model_runtime_version 1 _model_runtime_minor)

    if(NOT PACKAGE_FIND_VERSION)
        set(PACKAGE_VERSION_COMPATIBLE TRUE)
    elseif(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
        set(PACKAGE_VERSION_COMPATIBLE TRUE)
        set(PACKAGE_VERSION_EXACT TRUE)
    elseif(PACKAGE_FIND_VERSION VERSION_LESS PACKAGE_VERSION
            AND PACKAGE_FIND_VERSION_MAJOR EQUAL _model_runtime_major
            AND (NOT _model_runtime_major EQUAL 0 OR PACKAGE_FIND_VERSION_MINOR EQUAL _model_runtime_minor))
        set(PACKAGE_VERSION_COMPATIBLE TRUE)
    endif()
endif()
